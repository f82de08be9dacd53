// Partitions: who owns what, and who works.

import { element, put } from "../common/dom.js";
import { age, count, counted } from "./figures.js";
import { named, Table } from "./table.js";

export const name = "partitions";
export const title = "Partitions";
export const live = true;

const SHOWN = 64;

export function mount(root) {
  let at = 0;
  const workers = new Table("Workers", [
    { title: "Worker", kind: "name", show: named((one) => one.id) },
    { title: "Host", kind: "name seldom", show: named((one) => one.host) },
    { title: "State", tell: (one) => one.state },
    { title: "Partitions", kind: "number", tell: (one) => count(one.partitions) },
    { title: "Windows open", kind: "number", tell: (one) => count(one.open) },
    { title: "With handlers", kind: "number", tell: (one) => `${count(one.running)} of ${count(one.slots)}` },
    { title: "Key lives", kind: "number seldom", tell: (one) => age(one.lease_ms / 1000) },
  ], (one) => one.id);
  const partitions = new Table("Partitions", [
    { title: "Partition", kind: "number", tell: (one) => String(one.number) },
    { title: "Owner", kind: "name", show: named((one) => one.owner ?? "nobody") },
    { title: "Since", kind: "number", tell: (one) => (one.epoch === null ? "–" : age((at - one.epoch) / 1000)) },
    { title: "Epoch", kind: "number seldom", tell: (one) => (one.epoch === null ? "–" : String(one.epoch)) },
    { title: "Lease lives", kind: "number", tell: (one) => (one.owner === null ? "–" : age(one.lease_ms / 1000)) },
    { title: "Messages", kind: "number", tell: (one) => count(one.messages) },
    { title: "Oldest", kind: "number", tell: (one) => (one.oldest_at === null ? "–" : age((at - one.oldest_at) / 1000)) },
    { title: "In hand", kind: "number seldom", tell: (one) => count(one.in_hand) },
  ], (one) => one.number);
  const sum = element("p", "quietly");
  sum.id = "sum";
  root.append(sum, workers.frame, partitions.frame);
  return {
    take(data) {
      at = data.at;
      workers.show(data.workers);
      partitions.show(worstFirst(data.partitions).slice(0, SHOWN));
      put(sum, sumOf(data));
    },
  };
}

/** Where all can be shown, by number; else those that nobody owns, then by what waits in them. */
function worstFirst(partitions) {
  if (partitions.length <= SHOWN) return partitions;
  return partitions.slice().sort((one, other) =>
    (one.owner !== null) - (other.owner !== null) || other.messages - one.messages || one.number - other.number);
}

function sumOf({ partitions, workers }) {
  const without = partitions.filter((one) => one.owner === null).length;
  const draining = workers.filter((one) => one.state === "draining").length;
  const told = [counted(workers.length, "worker"), counted(partitions.length, "partition")];
  if (draining > 0) told.push(`${count(draining)} of the workers drain`);
  told.push(without > 0 ? `${count(without)} without an owner` : "each has an owner");
  if (partitions.length > SHOWN) told.push(`shown are ${SHOWN}: those without an owner, then those with the most to do`);
  return `${told.join("; ")}.`;
}
