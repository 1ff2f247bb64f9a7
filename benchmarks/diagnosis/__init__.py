"""Does a diagnosis of training curves hold? Networks really trained into each fault, and what was said of them."""
