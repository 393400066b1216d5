// graphile-worker at a steady rate: jobs are added when they are due, whether those before them have ended or not.
// The time runs from when one was due until its effects are committed; there is no HTTP in it.

import { EventEmitter } from "node:events";
import { Logger, makeWorkerUtils, run as start } from "graphile-worker";
import { pool, postJob, ready, run } from "./peer.mjs";

const quiet = new Logger(() => (level, message) => {
    if (level === "error") console.error(message);
});
const perSecond = run.batch;
const utils = await makeWorkerUtils({ pgPool: pool, logger: quiet });
await utils.migrate();
const { rows } = await pool.query({
    text: "select id::int8 as id, kind, payload from load where kind = 'lock-escrow' order by id limit $1",
    values: [run.jobs],
});
if (rows.length < run.jobs) throw new Error(`the load has ${rows.length} jobs of ${run.jobs}`);

// The first jobs wait for plans, caches and connections, and are not counted; nor are Holdfast's. They come at the same
// rate, for up to two seconds.
const { rows: first } = await pool.query({
    text: "select id::int8 as id, kind, payload from load where kind = 'deposit-credit' order by id limit $1",
    values: [2 * perSecond],
});
const due = new Map();
const took = [];
let settled;
const all = new Promise((resolve) => (settled = resolve));
const runner = await start({
    pgPool: pool,
    noHandleSignals: true,
    events: new EventEmitter(),
    taskList: {
        post: async (job) => {
            await postJob(pool, job);
            if (!due.has(job.id)) return;
            took.push(Math.round((performance.now() - due.get(job.id)) * 1000));
            if (took.length === rows.length) settled();
        },
    },
    preset: { worker: { logger: quiet, concurrentJobs: run.concurrency, pollInterval: 50 } },
});
await ready();

async function atRate(jobs, note) {
    const began = performance.now() + 50;
    const added = [];
    for (let next = 0; next < jobs.length; ) {
        const now = performance.now();
        for (; next < jobs.length && began + (next * 1000) / perSecond <= now; next += 1) {
            note(jobs[next], began + (next * 1000) / perSecond);
            added.push(utils.addJob("post", jobs[next]));
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(added);
    return began;
}
await atRate(first, () => {});
const began = await atRate(rows, (job, at) => due.set(job.id, at));
await all;
const seconds = (performance.now() - began) / 1000;
await runner.stop();
console.log(JSON.stringify({ seconds, ended: took.length, us: took }));
process.exit(0);
