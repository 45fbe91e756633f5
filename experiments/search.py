"""Which recipe holds across patient splits, and not on one lucky split?

Ray Tune tries recipes that Optuna proposes. Test patients are set apart first. Each recipe is
scored on validation patients, on several inner splits of the rest, by how much better it is than
the default recipe on the same ones; poor recipes are stopped early. Default and winner are
then refitted on all but the test patients, and these are read once. The same command resumes.
"""

from respire.command.questions import search

if __name__ == "__main__":
    search(__doc__)
