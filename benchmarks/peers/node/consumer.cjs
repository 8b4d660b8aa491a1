// sqs-consumer with its batch handler. A consumer has ten messages in flight at most, so there are
// as many consumers as the concurrency takes.
"use strict";
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const pino = require("pino");
const { Consumer } = require("sqs-consumer");
const { request } = require("undici");

const { INVENTORY_GRPC_ADDR, RESERVATION_API_BASE, SQS_QUEUE_URL, WORKER_CONCURRENCY } =
  process.env;
const BATCH = 10;

const definition = loader.loadSync("proto/reservation/v1/inventory.proto", {
  includeDirs: [path.resolve(__dirname, "../../../protos")],
  keepCase: true,
  enums: String,
});
const { InventoryService } = grpc.loadPackageDefinition(definition).reservation.v1;
const inventory = new InventoryService(INVENTORY_GRPC_ADDR, grpc.credentials.createInsecure());
const log = pino();

const release = (hold) =>
  new Promise((resolve, reject) => {
    inventory.ReleaseHold(hold, { deadline: Date.now() + 5000 }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });

async function settle(message) {
  const event = JSON.parse(message.Body);
  const { reservation_id: rid, event_id, seat_ids, qty } = event.detail;
  const { statusCode, body } = await request(
    `${RESERVATION_API_BASE}/internal/reservations/${rid}`,
    {
      method: "PATCH",
      headers: {
        "Content-Type": "application/json",
        "Idempotency-Key": `status:EXPIRED:${rid}`,
      },
      body: JSON.stringify({ status: "EXPIRED" }),
      headersTimeout: 5000,
      bodyTimeout: 5000,
    },
  );
  const { status } = await body.json();
  if (statusCode !== 200 || status !== "EXPIRED") throw new Error(`${rid} is not expired`);
  const released = await release({
    reservation_id: rid,
    event_id,
    seat_ids,
    quantity: qty,
    reason: "EXPIRED",
    idempotency_key: `release:${rid}`,
  });
  if (released.status !== "RELEASE_STATUS_SUCCESS") throw new Error(`${rid} is not released`);
  log.info({ event_id: event.id, reservation_id: rid, outcome: "success" }, "settled");
  return message;
}

// Only those that are returned are deleted.
async function handleMessageBatch(messages) {
  const outcomes = await Promise.allSettled(messages.map(settle));
  for (const { reason } of outcomes) if (reason) log.error(reason);
  return outcomes.flatMap(({ value }) => value ?? []);
}

const consumers = Array.from({ length: Math.ceil(WORKER_CONCURRENCY / BATCH) }, () =>
  Consumer.create({
    queueUrl: SQS_QUEUE_URL,
    batchSize: BATCH,
    handleMessageBatch,
    pollingCompleteWaitTimeMs: 30_000,
  }),
);
let running = consumers.length;
for (const consumer of consumers) {
  consumer.on("error", (error) => log.error(error));
  consumer.on("stopped", () => --running || process.exit(0));
  consumer.start();
}
process.on("SIGTERM", () => consumers.forEach((consumer) => consumer.stop()));
