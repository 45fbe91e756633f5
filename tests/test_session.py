import os

import pytest
import ray

from respire import session
from respire.errors import InputError


def cluster_of(monkeypatch: pytest.MonkeyPatch, **resources: float) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)


@pytest.mark.parametrize(
    ("cpus", "gpus", "gpu", "share"),
    [
        (2, 0, False, session.Share(0.5, 0.0)),
        (64, 0, False, session.Share(1.0, 0.0)),
        (16, 1, True, session.Share(1.0, 0.25)),
        (16, 8, True, session.Share(1.0, 1.0)),
        (3, 3, True, session.Share(0.75, 0.75)),
    ],
)
def test_four_trials_always_fit_at_once(monkeypatch, cpus, gpus, gpu, share):
    cluster_of(monkeypatch, CPU=cpus, GPU=gpus)
    assert session.share(4, gpu) == share
    assert 4 * share.cpus <= cpus
    assert 4 * share.gpus <= gpus


def test_more_workers_than_processors_are_told_that_they_wait(monkeypatch):
    cluster_of(monkeypatch, CPU=16, GPU=2)
    assert session.missing_room(2, gpu=True) is None
    assert session.missing_room(16, gpu=False) is None
    assert "needs a GPU and the cluster has 2 now" in session.missing_room(3, gpu=True)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_function_runs_in_another_process_and_its_input_errors_come_back_as_they_were():
    def refuse() -> None:
        raise InputError("one line")

    assert session.on_worker(os.getpid, gpu=False) != os.getpid()
    with pytest.raises(InputError, match=r"^one line$"):
        session.on_worker(refuse, gpu=False)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_lines_from_other_processes_are_printed_before_the_console_closes(capsys):
    with session.console() as lines:
        session.on_worker(lines.put, "from afar", gpu=False)
    assert capsys.readouterr().out == "from afar\n"
