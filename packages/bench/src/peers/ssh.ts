import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Tunnel } from '../tunnel.ts';
import { LOOPBACK, listening, type Peer } from './peer.ts';

/** sshd refuses to start as root without it. */
const PRIVILEGE_SEPARATION = '/run/sshd';
const DYNAMIC_CIPHER = 'aes128-gcm@openssh.com';

/** `ssh -D`: all tunnels in one connection, SOCKS at the near end. */
export const ssh: Peer<Tunnel> = {
  needs: [
    { program: 'sshd', debianPackage: 'openssh-server' },
    { program: 'ssh', debianPackage: 'openssh-client' },
  ],
  async open(site) {
    await using stack = new AsyncDisposableStack();
    const folder = site.subfolder('ssh');
    const server = await site.ports(2);
    const local = server + 1;
    const file = (name: string) => join(folder, name);
    for (const key of ['host', 'user'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(key)]);
    copyFileSync(file('user.pub'), file('authorized'));
    const lines = [
      `ListenAddress ${LOOPBACK}:${server}`,
      `HostKey ${file('host')}`,
      `AuthorizedKeysFile ${file('authorized')}`,
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
    ];
    writeFileSync(file('sshd.conf'), `${lines.join('\n')}\n`);
    if (userInfo().uid === 0) mkdirSync(PRIVILEGE_SEPARATION, { recursive: true });
    const sshd = execFileSync('/bin/sh', ['-c', 'PATH=$PATH:/usr/sbin command -v sshd']);
    const far = await listening(site, stack, {
      folder,
      name: 'sshd',
      command: sshd.toString().trim(),
      args: ['-D', '-e', '-f', file('sshd.conf')],
      port: server,
    });
    const options = ['StrictHostKeyChecking=no', `UserKnownHostsFile=${file('known')}`];
    options.push(`Ciphers=${DYNAMIC_CIPHER}`, 'ExitOnForwardFailure=yes');
    const near = await listening(site, stack, {
      folder,
      name: 'ssh',
      command: 'ssh',
      args: [
        ...['-N', '-F', 'none', '-i', file('user'), '-p', String(server)],
        ...['-D', `${LOOPBACK}:${local}`, ...options.flatMap((option) => ['-o', option])],
        `${userInfo().username}@${LOOPBACK}`,
      ],
      port: local,
    });
    const owned = stack.move();
    return {
      proxy: `${LOOPBACK}:${local}`,
      near: [near],
      far: [far],
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  },
};
