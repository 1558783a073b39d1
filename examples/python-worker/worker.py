"""A Temporal worker of another team, in another language: Spine calls its activity by name.

    pip install temporalio
    python worker.py localhost:7233

Nothing of Spine is needed here. The task `{uses: worker, with: {taskQueue: risk-python, activity: ScoreOrder,
input: ...}}` gives its `input` as the activity's argument, as plain JSON, and takes what is returned as the
task's output. An error's type is what `retry.nonRetryable` names.
"""

import asyncio
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker


@activity.defn(name="ScoreOrder")
async def score_order(order: dict) -> dict:
    if "total" not in order:
        raise ApplicationError("an order has a total", type="InvalidOrder")
    return {"risk": 0.9 if order["total"] >= 1000 else 0.1, "attempt": activity.info().attempt}


async def main(address: str) -> None:
    client = await Client.connect(address)
    async with Worker(client, task_queue="risk-python", activities=[score_order]):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:7233"))
