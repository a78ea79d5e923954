import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Command } from 'commander';
import { createProgram } from '../src/program.ts';
import { argyle } from './run-argyle.ts';
import { folder, rightFolder } from './fixture.ts';

function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function path(command: Command): string {
  const above = command.parent ? `${path(command.parent)} ` : '';
  return `${above}${command.name()}`;
}

const COMMANDS = everyCommand(createProgram()).filter((one) => one.commands.length === 0);

t.setTimeout(90_000);

t.test('every command says what it does, and shows how', async (t) => {
  for (const command of COMMANDS) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    t.match(help, `Usage: ${path(command)}`);
    t.match(help, /\nExamples:\n {2}.*argyle /, path(command));
    t.not(command.description(), '');
  }
});

t.test('an argument too many is not told: it may be a password', async (t) => {
  for (const args of [
    ['user', 'add', 'alice', 'hunter2'],
    ['user', 'add', 'alice', '--password=hunter2'],
  ]) {
    const { code, err } = await argyle(t, args);
    t.equal(code, 2);
    t.match(err, /too many arguments for 'add'\.|unknown option '--password'/);
    t.notMatch(err, 'hunter2');
  }
});

t.test('the README names every command', async (t) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  for (const command of COMMANDS) t.match(readme, `\`${path(command)}`);
});

t.test('what the arguments lack or have too much ends with 2', async (t) => {
  const cases: readonly [string[], RegExp][] = [
    [['nod'], /unknown command 'nod'\n\(Did you mean node\?\)/],
    [['node'], /required option '--config <file>' not specified/],
    [['node', '--config'], /argument missing/],
    [
      ['node', '--config', 'x', '--confg', 'y'],
      /unknown option '--confg'\n\(Did you mean --config\?\)/,
    ],
    [['node', '--config', 'x', '--log-level', 'loud'], /Allowed choices are debug, info/],
    [
      ['client', '--config', 'x', '--forward', 'udp:5300'],
      /'udp:5300' is invalid. Wanted udp or tcp/,
    ],
    [['init', '--nodes', 'many'], /the number of nodes: found "many", wanted a whole number/],
    [['init', '--port-base', '70000'], /--port-base: found "70000", wanted a whole number/],
    [['init', '--containers', '--nodes', '3'], /cannot be used with/],
    [['certificate', '../ca'], /the name: found "\.\.\/ca"/],
    [['certificate', 'ca'], /the name: found "ca"/],
    [['status', '--admin', 'localhost:1'], /--admin: found "localhost:1", wanted http/],
    [['kill', '0'], /the node's number: found "0"/],
    [['up', 'three'], /the number of nodes: found "three"/],
  ];
  const home = folder(t);
  for (const [args, told] of cases) {
    const takesHome = !['nod', 'node', 'client'].includes(args[0] ?? '');
    const { code, err } = await argyle(t, [...args, ...(takesHome ? ['--home', home] : [])]);
    t.equal(code, 2, args.join(' '));
    t.match(err, told);
  }
});

t.test('help and a bare command are told from each other', async (t) => {
  t.equal((await argyle(t, ['--help'])).code, 0);
  t.match((await argyle(t, ['--help'])).out, /Exit codes:\n {2}0 {2}done/);
  t.equal((await argyle(t, [])).code, 2);
});

t.test('the effective configuration is printed, whole and without secrets', async (t) => {
  const home = await rightFolder(t);
  const node = await argyle(t, ['node', '--config', `${home}/node-1.yaml`, '--print-config']);
  t.equal(node.code, 0);
  t.match(node.out, 'name: node-1');
  t.match(node.out, 'minVersion: TLSv1.2');
  t.match(node.out, 'clusterKey: cluster.key');
  t.match(node.out, 'hold: 250ms');
  const client = await argyle(t, ['client', '--config', `${home}/client.yaml`, '--print-config']);
  t.equal(client.code, 0);
  t.match(client.out, 'password: (not shown)');
  t.notMatch(client.out, 'the-password-of-demo');
});

t.test('certificates are issued, and not by accident twice', async (t) => {
  const home = folder(t);
  const early = await argyle(t, ['certificate', 'alice', '--client', '--home', home]);
  t.equal(early.code, 1);
  t.match(early.err, /ca\.key\.pem is missing: `argyle init` makes it/);
  await argyle(t, ['init', '--home', home, '--nodes', '1']);
  const issued = await argyle(t, ['certificate', 'alice', '--client', '--home', home]);
  t.same(issued, { code: 0, out: `${home}/alice.pem\n${home}/alice.key.pem\n`, err: '' });
  const before = readFileSync(`${home}/alice.pem`, 'utf8');
  const again = await argyle(t, ['certificate', 'alice', '--client', '--home', home]);
  t.equal(again.code, 1);
  t.match(again.err, /alice\.pem is there already: --force replaces it/);
  t.equal(readFileSync(`${home}/alice.pem`, 'utf8'), before);
  const forced = await argyle(t, ['certificate', 'alice', '--client', '--force', '--home', home]);
  t.equal(forced.code, 0);
  t.not(readFileSync(`${home}/alice.pem`, 'utf8'), before);
});
