// What the peers that run on Node.js share: arguments, jobs, and the talk with the harness.

import pg from "pg";
import { createInterface } from "node:readline";

const [mode, concurrency, batch, jobs] = process.argv.slice(2);

/** How this run is to be made: per-job, bulk, noop or noop-bulk; workers; jobs in a batch; jobs in all. */
export const run = { mode, concurrency: Number(concurrency), batch: Number(batch), jobs: Number(jobs) };

export const connectionString = process.env.DATABASE_URL;

/** As many connections as there are workers, and some for the library's own statements. */
export const pool = new pg.Pool({ connectionString, max: run.concurrency + 4 });
pool.on("error", console.error);
pool.on("connect", (client) => client.on("error", console.error));

/** The jobs of the load in their order, in pieces. */
export async function* load(piece) {
    for (let done = 0; done < run.jobs; done += piece) {
        const { rows } = await pool.query({
            name: "load",
            text: "select id::int8 as id, kind, payload from load order by id offset $1 limit $2",
            values: [done, Math.min(piece, run.jobs - done)],
        });
        yield rows;
    }
}

/** The effects of one job, in a transaction of its own. */
export function postJob(db, job) {
    const values = [job.id, job.kind, job.payload];
    return db.query({ name: "post_job", text: "select post_job($1, $2, $3)", values });
}

/** The effects of several jobs, in one statement; the stripe of the house's accounts is the worker's. Which are done is
 *  noted unless they leave the queue in the same transaction. */
export function postBatch(db, some, stripe, keep = true) {
    const column = (name) => some.map((job) => job[name]);
    const values = [column("id"), column("kind"), column("payload").map((it) => JSON.stringify(it)), stripe, keep];
    return db.query({ name: "post_batch", text: "select post_batch($1, $2, $3, $4, $5)", values });
}

/** Says that the jobs are queued, and waits until the harness has the server at rest. */
export async function ready() {
    console.log("ready");
    for await (const line of createInterface({ input: process.stdin })) {
        if (line === "go") break;
    }
}

/** Tells the harness what was measured, and ends. */
export function report(seconds, ended) {
    console.log(JSON.stringify({ seconds, ended }));
    process.exit(0);
}
