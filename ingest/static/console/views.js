// The views, in the order of the navigation. Each is a module that exports
//
//   name    what stands behind # in the address
//   title   what the navigation calls it
//   live    whether /api/v1/console/stream has a view of this name
//   mount   (root, page) -> { take(data), leave() }: fill `root`; `take` gets what the stream tells,
//           `leave` is called before another view comes. Both may be left out.
//
// `page` is what the shell does for a view:
//
//   ask     as common/api.js; where the session is over, the log-in is shown
//   say     (text): what went wrong, in the notice above the view; "" takes it away
//   go      (name, ...parts): to another view
//   parts   what stands behind the view's name in the address, decoded
//   watch   (query): of a live view, what the stream is to tell: an `instance`, `users`
//   addressOf (name, ...parts), hasView (name): for links to other views

import * as conversation from "./conversation.js";
import * as dead from "./dead.js";
import * as instances from "./instances.js";
import * as now from "./now.js";
import * as partitions from "./partitions.js";
import * as replies from "./replies.js";
import * as spool from "./spool.js";
import * as windows from "./windows.js";

export const VIEWS = [now, windows, dead, replies, conversation, instances, partitions, spool];
