"""What learning curves say: a diagnosis, what speaks for it, and what to do next.

``diagnose(train_loss=[...], val_loss=[...])`` needs no study. Everything here is a pure function of curves.
"""

from tunewell.analysis.diagnosis.actions import Action as Action
from tunewell.analysis.diagnosis.diagnosing import Diagnosis as Diagnosis
from tunewell.analysis.diagnosis.diagnosing import diagnose as diagnose
from tunewell.analysis.diagnosis.diagnosing import diagnose_trial as diagnose_trial
from tunewell.analysis.diagnosis.labels import Label as Label
from tunewell.analysis.diagnosis.overview import StudyDiagnosis as StudyDiagnosis
from tunewell.analysis.diagnosis.overview import diagnose_study as diagnose_study
