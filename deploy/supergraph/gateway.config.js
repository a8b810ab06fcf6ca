// A copy of the code for Hive Gateway in docs/routers.md.

const withoutValues = ({ path, message }) =>
  path ? message : message.replace(/(invalid value|represent|found|^Value) .*/s, '$1 …');
const isRounded = (value) =>
  typeof value === 'object' && value !== null
    ? Object.values(value).some(isRounded)
    : Number.isInteger(value) && !Number.isSafeInteger(value);
const sendStrings = {
  message: 'Send ids as strings.',
  extensions: { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', outcome: 'NOT_DONE' },
};

export const gatewayConfig = {
  propagateHeaders: {
    fromClientToSubgraphs: ({ request, subgraphName }) =>
      subgraphName === 'contact-phone'
        ? {
            authorization: request.headers.get('authorization'),
            'accept-language': request.headers.get('accept-language'),
            'x-router-secret': process.env.ROUTER_SECRET,
          }
        : {},
  },
  upstreamTimeout: ({ subgraphName }) => (subgraphName === 'contact-phone' ? 25_000 : undefined),
  plugins: () => [
    {
      onParams({ params, setResult }) {
        if (isRounded(params.variables)) setResult({ errors: [sendStrings] });
      },
      onResultProcess({ result }) {
        for (const error of result.errors ?? []) error.message = withoutValues(error);
      },
    },
  ],
};
