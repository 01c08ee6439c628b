/** The address from which a request came, if the server knows it. */
const addresses = new WeakMap<Request, string>();

export function noteAddress(request: Request, address: string | undefined): Request {
  if (address !== undefined) addresses.set(request, address);
  return request;
}

/** Undefined if the handler is mounted in another server. */
export function addressOf(request: Request): string | undefined {
  return addresses.get(request);
}
