import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';

let serverIsAheadBy = 0;

/** The time by the server's clock, in ms: this device's clock may be wrong. */
export const serverNow = () => Date.now() + serverIsAheadBy;

/**
 * No RetryLink: a mutation whose answer is lost may have been carried out, so repeating it could send a second SMS.
 *
 * @param token returns the access token. It is called before each request, because tokens are renewed.
 */
export function createClient(uri: string, token: () => string) {
  const link = new HttpLink({
    uri,
    async fetch(input, init) {
      const headers = new Headers(init?.headers);
      headers.set('authorization', `Bearer ${token()}`);
      const response = await fetch(input, { ...init, headers });
      const date = Date.parse(response.headers.get('date') ?? '');
      if (!Number.isNaN(date)) serverIsAheadBy = date - Date.now();
      return response;
    },
  });
  return new ApolloClient({ link, cache: new InMemoryCache() });
}
