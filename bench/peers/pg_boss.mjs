// pg-boss: each worker fetches a batch; its jobs are posted one by one, or all at once in the
// transaction that completes them.

import { PgBoss } from "pg-boss";
import { connectionString, load, pool, postBatch, postJob, ready, report, run } from "./peer.mjs";

const boss = new PgBoss({ connectionString, max: run.concurrency + 2, supervise: false, schedule: false });
boss.on("error", (error) => {
    console.error(error);
    process.exit(1);
});
await boss.start();
await boss.createQueue("post", { retryLimit: 0 });
for await (const rows of load(1000)) {
    await boss.insert("post", rows.map((data) => ({ data })));
}
await ready();

const ids = (fetched) => fetched.map((job) => job.id);
const handlers = {
    "per-job": async (fetched) => {
        for (const { data } of fetched) await postJob(pool, data);
        await boss.complete("post", ids(fetched));
    },
    bulk: async (fetched, stripe) => {
        const db = await pool.connect();
        try {
            await db.query("begin");
            await postBatch(db, fetched.map((job) => job.data), stripe, false);
            await boss.complete("post", ids(fetched), null, {
                db: { executeSql: (text, values) => db.query(text, values) },
            });
            await db.query("commit");
        } finally {
            // Closed rather than given back if it failed: its transaction may be open.
            db.release();
        }
    },
    noop: (fetched) => boss.complete("post", ids(fetched)),
};
let ended = 0;
async function work(stripe) {
    for (;;) {
        const fetched = await boss.fetch("post", { batchSize: run.batch });
        if (fetched.length === 0) return;
        await handlers[run.mode](fetched, stripe);
        ended += fetched.length;
    }
}
const began = performance.now();
await Promise.all(Array.from({ length: run.concurrency }, (_, at) => work(at % 16)));
report((performance.now() - began) / 1000, ended);
