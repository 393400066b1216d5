"""Procrastinate: one asynchronous worker process, a job per task."""

import asyncio
import json
import logging
import os
import sys
import time

import procrastinate
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

# It warns that an application in the main module cannot be imported by others.
logging.getLogger("procrastinate").setLevel(logging.ERROR)

MODE, CONCURRENCY, _, JOBS = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
URL = os.environ["DATABASE_URL"]

connector = procrastinate.PsycopgConnector(conninfo=URL, min_size=2, max_size=CONCURRENCY + 4)
app = procrastinate.App(connector=connector)
pool = AsyncConnectionPool(URL, min_size=CONCURRENCY, max_size=CONCURRENCY, open=False, kwargs={"autocommit": True})
ended = 0


@app.task(name="post")
async def post(id, kind, payload):
    global ended
    if MODE != "noop":
        async with pool.connection() as db:
            await db.execute("select post_job(%s, %s, %s)", (id, kind, Jsonb(payload)), prepare=True)
    ended += 1


async def queue():
    async with pool.connection() as db:
        for done in range(0, JOBS, 1000):
            rows = await db.execute(
                "select id, kind, payload from load order by id offset %s limit %s", (done, min(1000, JOBS - done))
            )
            jobs = [{"id": id, "kind": kind, "payload": payload} for id, kind, payload in await rows.fetchall()]
            await post.batch_defer_async(*jobs)


async def main():
    async with app.open_async(), pool:
        await app.schema_manager.apply_schema_async()
        await queue()
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        await app.run_worker_async(
            concurrency=CONCURRENCY, wait=False, listen_notify=False, install_signal_handlers=False
        )
        print(json.dumps({"seconds": time.perf_counter() - began, "ended": ended}), flush=True)


asyncio.run(main())
