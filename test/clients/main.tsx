import { ApolloProvider } from '@apollo/client/react';
import { createRoot } from 'react-dom/client';
import { createClient } from './client.js';
import { PhoneScreen } from './phone-screen.js';

// These are the demo's. Your app knows the endpoint of your router, and who is signed in.
const client = createClient('http://127.0.0.1:4001/graphql', () => 'embedded-token-of-the-manager');
const userId = new URLSearchParams(location.search).get('user') ?? '301000000000000103';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <ApolloProvider client={client}>
      <PhoneScreen userId={userId} />
    </ApolloProvider>,
  );
}
