import { closestMatch } from 'leven';

/** The variables that protect against SMS abuse have these prefixes. Ignoring a misspelt one would leave the server unprotected. */
const ourPrefix = /^(SMS|VERIFY|ZITADEL)_/i;

/**
 * Variables that Kubernetes sets in every pod for each Service in the namespace, such as one named `zitadel`.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const ofService = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/**
 * Finds the variables that look like ours, and are not.
 *
 * @param names of the variables that are set
 * @param known the names of ours
 * @returns a sentence for each, with the variable that was probably meant
 */
export function unknownVariables(names: readonly string[], known: readonly string[]): string[] {
  return names
    .filter((name) => ourPrefix.test(name) && !ofService.test(name) && !known.includes(name))
    .map((name) => `${name} is not a variable of this server${suggestionFor(name, known)}`);
}

/** Up to half of the characters after the prefix may differ: sharing only the prefix is not enough. */
function suggestionFor(name: string, known: readonly string[]): string {
  const upper = name.toUpperCase();
  const maxDistance = Math.floor(name.replace(ourPrefix, '').length / 2);
  const meant = known.find((one) => one.startsWith(`${upper}_`)) ?? closestMatch(upper, [...known], { maxDistance });
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}
