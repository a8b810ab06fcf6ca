import { execSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';

// Installs the packages of these folders, which have a lockfile of their own, unless they are installed as it says.

for (const folder of argv.slice(2)) {
  const installed = join(folder, 'node_modules/.package-lock.json');
  const lockfile = join(folder, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs) continue;
  stdout.write(`Installing the packages of ${folder}, once\n`);
  execSync('npm ci --no-audit --no-fund', { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}
