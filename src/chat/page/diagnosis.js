// Determines why a WebSocket did not open. A browser does not tell a page: a refusal (403,
// 503) looks like an unreachable server. So the page sends HTTP requests.
//
//   HEAD ./health      no response, 502, 504    unreachable (502, 504: by the proxy)
//                      503                      unavailable
//                      another failure          refused
//   HEAD ./chat/{room} 404                      no_room
//                      503                      unavailable
//                      any other                refused: only the WebSocket is refused

const BAD_GATEWAY = 502;
const UNAVAILABLE = 503;
const GATEWAY_TIMEOUT = 504;
const NOT_FOUND = 404;

/**
 * @param {string} room path of the WebSocket
 * @param {AbortSignal} signal
 * @returns {Promise<{cause: "unreachable" | "unavailable" | "no_room" | "refused", retryAfterMs: number}>}
 *   `retryAfterMs` is the delay that the server asks for, or 0.
 */
export async function diagnose(room, signal) {
  const health = await ask("./health", signal);
  if (!health || [BAD_GATEWAY, GATEWAY_TIMEOUT].includes(health.status)) return found("unreachable");
  if (health.status === UNAVAILABLE) return found("unavailable", health);
  if (!health.ok) return found("refused", health);
  const place = await ask(room, signal);
  if (!place) return found("unreachable");
  if (place.status === NOT_FOUND) return found("no_room");
  return found(place.status === UNAVAILABLE ? "unavailable" : "refused", place);
}

/** The response, or null if there is none. A redirection is a response. */
async function ask(path, signal) {
  try {
    return await fetch(path, { method: "HEAD", cache: "no-store", redirect: "manual", signal });
  } catch {
    return null;
  }
}

function found(cause, response = null) {
  const seconds = Number(response?.headers.get("Retry-After") ?? 0);
  return { cause, retryAfterMs: seconds > 0 ? seconds * 1000 : 0 };
}
