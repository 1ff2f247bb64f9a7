"""Anything that returns a number: a support vector machine on real data, judged by cross-validation.

python examples/scikit_learn.py [TRIALS]
"""

import sys

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import tunewell as tw

space = tw.Space(
    C=tw.Float(1e-3, 1e3, scale="log", default=1.0),
    kernel=tw.Choice(["linear", "rbf", "poly"], default="rbf"),
    gamma=tw.Float(1e-5, 1.0, scale="log", default=1 / 30, when={"kernel": ["rbf", "poly"]}),
    degree=tw.Int(2, 4, default=3, when={"kernel": "poly"}),  # active only then
)


def accuracy(trial: tw.Trial) -> float:
    x, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), SVC(**trial.params))
    return cross_val_score(model, x, y, cv=5).mean()


if __name__ == "__main__":
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    study = tw.Study(space, metric="accuracy", mode="max", seed=0)
    study.run(accuracy, trials=trials, workers=2)
    print(f"default {study.trials[0].value:.4f}, best {study.best.value:.4f} with {dict(study.best.params)}")
    print(study.dataframe().sort_values("accuracy", ascending=False).head())
