import { getuid } from 'node:process';

/** /proc belongs to the process itself. Mounts that cannot be changed are left as they are. */
const makeReadOnly = `
while read -r _ at _; do
  case "$at" in /proc*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null || true ;; esac
done </proc/self/mounts
exec "$@"`;

/**
 * Runs a command as `docker run --read-only --user UID:GID` does: as this numeric user, with nowhere to write a file. Every step ends in exec,
 * so signals reach the command. Needs to be root, or to be allowed to create user namespaces.
 */
export function onReadOnlyRoot(user: string, command: readonly string[]): [command: string, args: string[]] {
  const [uid, gid] = user.split(':');
  const isRoot = getuid?.() === 0;
  const asUser = isRoot
    ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs']
    : ['unshare', `--map-user=${uid}`, `--map-group=${gid}`];
  const namespaces = isRoot ? ['--mount'] : ['--mount', '--map-root-user'];
  return ['unshare', [...namespaces, 'sh', '-euc', makeReadOnly, 'sh', ...asUser, ...command]];
}
