// A user is created with the client that openapi-typescript generates; `.ci/clients` compiles and runs it.
import createClient from "openapi-fetch";
import type { paths } from "./holdfast.js";

declare const process: { env: Record<string, string | undefined> };

const client = createClient<paths>({
  baseUrl: process.env.HOLDFAST_URL,
  headers: { authorization: `Bearer ${process.env.HOLDFAST_KEY}` },
});
const { data, error } = await client.POST("/v1/users", {
  params: { header: { "Idempotency-Key": "typescript", Prefer: "wait=20" } },
  body: {},
});
if (error || data.state !== "settled") throw new Error(JSON.stringify(error ?? data));
const { data: user } = await client.GET("/v1/users/{id}", { params: { path: { id: data.id } } });
if (user?.id !== data.id) throw new Error(`user ${data.id} is told of as ${JSON.stringify(user)}`);

// A problem has a type of its own.
const { error: refused } = await client.GET("/v1/users/{id}", { params: { path: { id: "999999" } } });
if (refused?.code !== "user_unknown") throw new Error(JSON.stringify(refused));
console.log(`openapi-typescript: user ${data.id} is ${data.state}`);
