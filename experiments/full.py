"""The whole of RespireNet on one split: stage 1, four device-specific fine-tunings, evaluation.

Recordings are cut into cycles, a common model is trained on all devices (stage 1) and fine-tuned
for each (stage 2), and both are scored on patients that chose nothing, beside baselines that hardly
listen. Ends with a report, its figures and MLflow runs; the same command resumes after any kill.
"""

from respire.command.questions import full

if __name__ == "__main__":
    full(__doc__)
