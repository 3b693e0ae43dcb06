#!/usr/bin/env node
// Starts `homarus @COMMAND@` where programs expect @FILE@.
//
// Passes every argument, signal and exit code on; there is no shell between. Homarus is found by
// HOMARUS_BIN, else on PATH.
//
// import() instead of require(): this file runs the same below a package.json of type "module".
'use strict';

const COMMAND = '@COMMAND@';
const HINT = 'Install it (pip install homarus), or set HOMARUS_BIN to the program.';

import('node:process').then(async ({ default: process }) => {
  const [{ spawn }, fs, path] = await Promise.all([
    import('node:child_process'), import('node:fs'), import('node:path'),
  ]);

  function runs(file) {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return fs.statSync(file).isFile();
    } catch {
      return false;
    }
  }

  function found() {
    const named = process.env.HOMARUS_BIN;
    if (named && /[\\/]/.test(named)) return runs(named) ? named : null;
    const endings = process.platform === 'win32' ? ['.exe'] : [''];
    for (const folder of (process.env.PATH || '').split(path.delimiter)) {
      for (const ending of endings) {
        const name = named || 'homarus';
        const file = path.join(folder, name.endsWith(ending) ? name : name + ending);
        if (folder && runs(file)) return file;
      }
    }
    return null;
  }

  function fail(text) {
    process.stderr.write('[error] ' + text + ' ' + HINT + '\n');
    process.exitCode = 1;
  }

  const program = found();
  if (program === null) {
    const asked = process.env.HOMARUS_BIN;
    fail(asked ? 'HOMARUS_BIN names no program: ' + asked + '.' : 'homarus is not on PATH.');
    return;
  }
  const child = spawn(program, [COMMAND, ...process.argv.slice(2)], {
    stdio: 'inherit', shell: false, windowsHide: true,
  });
  // A terminal sends SIGINT to both of us; one that came to this process alone is passed on.
  const passed = ['SIGTERM', 'SIGHUP', 'SIGINT'];
  const pass = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of passed) process.on(signal, pass);
  child.on('error', (error) => fail(program + ' cannot be started: ' + error.message + '.'));
  child.on('exit', (code, signal) => {
    for (const name of passed) process.off(name, pass);
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
});
