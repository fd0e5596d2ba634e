// SPDX-License-Identifier: Apache-2.0
/** All suites, in the order in which they run: what later ones rest on comes first. */
import "./session-messages.js";
import "./session-descriptors.js";
import "./session-rings.js";
import "./session-memory.js";
import "./rings.js";
import "./rings-broken.js";
import "./requests.js";
import "./contexts.js";
import "./memory.js";
import "./timeline.js";
import "./submits.js";
import "./copies.js";
import "./modules.js";
import "./launches.js";
import "./streams.js";
import "./errors.js";
import "./lifecycle.js";
import "./vectors.js";
import "./log.js";
import "./inflight.js";
import "./ptx.js";
