"""What the knowledge is worth, measured on recorded trainings."""
