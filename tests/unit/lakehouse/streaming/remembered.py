"""Short constructors for the contents of a job's record."""

from lakehouse.streaming.record import Commit, Start


def committed(table: str, job_id: str, checkpoint_id: int) -> Commit:
    return Commit(table=table, job_id=job_id, checkpoint_id=checkpoint_id)


def began(job_id: str, restored_from: str | None = None, after: tuple[Commit, ...] = ()) -> Start:
    return Start(job_id=job_id, restored_from=restored_from, after=after)
