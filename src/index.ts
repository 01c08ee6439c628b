/** heartbit: which of any set of keys are alive. */
export type { Clock } from "./core/clock.ts";
export { type ErrorCode, HeartbitError } from "./core/errors.ts";
export type { Transition } from "./core/roster.ts";
export type { WatchTarget } from "./core/selection.ts";
export type { Pruned, Store } from "./core/store.ts";
export type { Change, Holder } from "./core/change.ts";
export type { Listener, Subscribable } from "./lib/emitter.ts";
export type { Health } from "./presence/context/health.ts";
export type { HeldKey, Holding } from "./presence/hold.ts";
export type { Lapse } from "./core/lease.ts";
export type { PresenceEvents } from "./presence/events.ts";
export type { KeyState, Listing } from "./core/listing.ts";
export type { Logger } from "./lib/log.ts";
export type { PresenceOptions } from "./presence/options.ts";
export type { Pinger, PingerEvents, PingerState } from "./presence/pinger.ts";
export { Presence } from "./presence/presence.ts";
export type { MongoCollection, MongoConnection, MongoDb, Target } from "./stores/target.ts";
export type { ChangeListener, Watcher, WatcherEvents, WatcherState } from "./presence/watcher.ts";

// For authors of stores: the port, and what goes through it.
export type { PingRecord } from "./core/bits.ts";
export type { RegistrationId, RegistrationRecord, Config, SessionRecord } from "./core/records.ts";
export type { Selection } from "./core/selection.ts";
export type { Slot } from "./core/slots.ts";
export type {
  Cursor,
  Feed,
  FeedSink,
  Finding,
  Namespace,
  NamespaceScale,
  OpenRecords,
  Page,
  Pong,
  PruneQuery,
  ReadQuery,
  StoreNotice,
  Write,
} from "./core/store.ts";
