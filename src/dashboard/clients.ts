/** Who asks: the address from which a request came, where the server knows it. */
const addresses = new WeakMap<Request, string>();

export function noteAddress(request: Request, address: string | undefined): Request {
  if (address !== undefined) addresses.set(request, address);
  return request;
}

/** Undefined where the handler is mounted in a server of another's. */
export function addressOf(request: Request): string | undefined {
  return addresses.get(request);
}
