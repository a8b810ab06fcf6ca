import { closestMatch } from 'leven';

/**
 * The variables that protect against SMS abuse have these prefixes. Ignoring a misspelt one would leave the server unprotected. Other
 * programs use `PHONE_` and `REDIS_` too, as in REDIS_HOST: such a name counts as misspelt only if it resembles one of ours.
 */
const [ourPrefix, onlyOurPrefix] = [/^(SMS|VERIFY|ZITADEL|PHONE|REDIS)_/i, /^(SMS|VERIFY|ZITADEL)_/i];

/**
 * Variables that Kubernetes sets in every pod for each Service in the namespace, such as one named `zitadel`.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const fromKubernetes = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/**
 * Finds variables that look like ours but are not.
 *
 * @param names of the variables that are set
 * @param known the names of ours
 * @returns a sentence for each, with the variable that was probably meant
 */
export function unknownVariables(names: readonly string[], known: readonly string[]): string[] {
  const unknown = names.filter((name) => ourPrefix.test(name) && !fromKubernetes.test(name) && !known.includes(name));
  return unknown.flatMap((name) => {
    const meant = meantBy(name, known);
    if (!meant && !onlyOurPrefix.test(name)) return [];
    return `${name} is not a variable of this server${meant ? `; did you mean ${meant}?` : ''}`;
  });
}

/** Up to half of the characters after the prefix may differ: sharing only the prefix is not enough. */
function meantBy(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  const maxDistance = Math.floor(name.replace(ourPrefix, '').length / 2);
  return known.find((one) => `${one}_`.startsWith(`${upper}_`)) ?? closestMatch(upper, [...known], { maxDistance });
}
