import { defineConfig } from '@graphql-mesh/compose-cli';
import { loadOpenAPISubgraph } from '@omnigraph/openapi';

export const composeConfig = defineConfig({
  subgraphs: [
    {
      sourceHandler: loadOpenAPISubgraph('users', {
        source: './hive/user-service.openapi.json',
        endpoint: '{env.ZITADEL_URL}',
        operationHeaders: { authorization: '{context.headers.authorization}' },
      }),
    },
  ],
});
