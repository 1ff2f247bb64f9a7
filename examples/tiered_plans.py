"""The plans of a tiered search for a typical network and several budgets: what docs/tiered.md shows."""

import tunewell as tw

space = tw.Space(
    learning_rate=tw.Float(1e-4, 1.0, scale="log", default=1e-2),
    momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
    batch_size=tw.Choice([32, 64, 128, 256], ordered=True, default=64),
    hidden_units=tw.Int(16, 512, scale="log", default=128),
    layers=tw.Int(1, 4, default=2),
    dropout=tw.Float(0.0, 0.6, default=0.2),
    schedule=tw.Choice(["constant", "cosine", "step"], default="cosine"),
    warmup_steps=tw.Int(0, 1000, default=100),
)
MINUTE = 60.0

if __name__ == "__main__":
    study = tw.Study(space, metric="val_loss", sampler=tw.strategies.Tiered(domain="vision"))
    for trials in (8, 30, 100, 400):
        print(study.plan(trials=trials), end="\n\n")
    for minutes in (20, 120, 1440):
        print(study.plan(seconds=minutes * MINUTE, training=2 * MINUTE), end="\n\n")
