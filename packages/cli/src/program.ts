import { Command, InvalidArgumentError, Option } from 'commander';
import type { Forward } from '@argyle/client';
import { FORWARD_WANTED, parseForward } from './config/forward.ts';
import { HOME_DEFAULT } from './home.ts';

const HELP_COLUMNS = 100;
const EXIT_CODES = `
Exit codes:
  0  done
  1  it failed; the message says why
  2  the configuration or the arguments are wrong; nothing was started`;

/** The whole command line. Each command's module is loaded when it is asked for. */
export function createProgram(): Command {
  const program = new Command('argyle')
    .description('A cluster of SOCKS5 proxies over TLS in which no client belongs to a node.')
    .addHelpText('after', EXIT_CODES)
    .configureHelp({ helpWidth: HELP_COLUMNS })
    .showHelpAfterError('(--help tells more)')
    .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
    .exitOverride();
  serving(program);
  files(program);
  local(program);
  return program;
}

/** An argument too many may be a password. */
function withoutValues(error: string): string {
  return error
    .replace(/(too many arguments .* but got \d+): .*\./, '$1.')
    .replace(/(unknown option '[^'=]*)=[^\n]*'/, "$1'");
}

function serving(program: Command): void {
  program
    .command('node')
    .description('run a node until SIGTERM; SIGHUP reads the users and the keys again')
    .requiredOption('--config <file>', 'its configuration')
    .option('--pid-file <file>', 'where to write the process id while it runs')
    .addOption(logLevel())
    .option('--print-config', 'print the configuration with every default, and run nothing')
    .addHelpText('after', examples('argyle node --config .argyle/node-1.yaml'))
    .action(async (options) => (await import('./commands/node.ts')).node(options));
  program
    .command('client')
    .description('run a client: plain SOCKS5 here, TLS and secure UDP to the cluster')
    .requiredOption('--config <file>', 'its configuration')
    .addOption(forwards())
    .option('--pid-file <file>', 'where to write the process id while it runs')
    .addOption(logLevel())
    .option('--print-config', 'print the configuration with every default, and run nothing')
    .addHelpText(
      'after',
      examples(
        'argyle client --config .argyle/client.yaml',
        'argyle client --config .argyle/client.yaml --forward udp:5300=dns.example:53',
      ),
    )
    .action(async (options) => (await import('./commands/client.ts')).client(options));
  program
    .command('status')
    .description('what the nodes and the client say of themselves; fails if one is not well')
    .addOption(home())
    .option('--admin <url...>', 'admin endpoints to ask, in place of those of the home')
    .option('--json', 'as JSON, for programs')
    .addHelpText(
      'after',
      examples('argyle status', 'argyle status --admin http://127.0.0.1:12081 --json'),
    )
    .action(async (options) => (await import('./commands/status.ts')).status(options));
}

function files(program: Command): void {
  program
    .command('init')
    .description('make what a cluster needs and the home lacks: keys, certificates, files')
    .addOption(home())
    .option('--nodes <n>', 'nodes of the cluster', '3')
    .addOption(
      new Option('--port-base <port>', 'ports are counted from here').env('ARGYLE_PORT_BASE'),
    )
    .addOption(
      new Option('--client-port <port>', "the client's SOCKS5 port").env('ARGYLE_CLIENT_PORT'),
    )
    .addOption(
      new Option('--containers', 'one file for all nodes, for a network of containers').conflicts([
        'nodes',
        'portBase',
        'clientPort',
      ]),
    )
    .addHelpText('after', examples('argyle init', 'argyle init --home /etc/argyle --nodes 5'))
    .action(async (options) => (await import('./commands/init.ts')).init(options));
  program
    .command('certificate')
    .description("issue a certificate from the home's authority")
    .argument('<name>', 'its common name, and the name of its files')
    .addOption(home())
    .option('--client', "a user's certificate, not a node's")
    .addOption(
      new Option('--server-name <name>', "the cluster's name, for a node's")
        .default('argyle.cluster')
        .conflicts('client'),
    )
    .option('--force', 'replace what is there')
    .addHelpText(
      'after',
      examples('argyle certificate node-4', 'argyle certificate alice --client'),
    )
    .action(async (name, options) =>
      (await import('./commands/certificate.ts')).certificate(name, options),
    );
  users(program);
  keys(program);
}

function users(program: Command): void {
  const user = program
    .command('user')
    .description('edit the list of users; nodes notice by themselves');
  user
    .command('add')
    .description('add a user, with a generated password unless one is given')
    .argument('<name>')
    .addOption(home())
    .option('--users <file>', "another list than the home's")
    .option('--group <group...>', 'groups that rules may name', [])
    .option('--password-stdin', 'read the password from the first line of standard input')
    .option('--replace', 'the user may be there already')
    .addHelpText(
      'after',
      examples(
        'argyle user add alice',
        'argyle user add bob --group staff --password-stdin < file',
      ),
    )
    .action(async (name, options) => (await import('./commands/user.ts')).add(name, options));
  user
    .command('remove')
    .description('remove a user; what he has open ends')
    .argument('<name>')
    .addOption(home())
    .option('--users <file>', "another list than the home's")
    .addHelpText('after', examples('argyle user remove alice'))
    .action(async (name, options) => (await import('./commands/user.ts')).remove(name, options));
  user
    .command('list')
    .description('names and groups')
    .addOption(home())
    .option('--users <file>', "another list than the home's")
    .addHelpText('after', examples('argyle user list'))
    .action(async (options) => (await import('./commands/user.ts')).list(options));
}

function keys(program: Command): void {
  const keys = program
    .command('keys')
    .description("replace the cluster's key while nodes run; they notice by themselves");
  const admin = "nodes to ask, in place of the home's: http://127.0.0.1:12081";
  keys
    .command('list')
    .description('ids and ages of the keys, and which of them each node has')
    .addOption(home())
    .option('--keys <file>', "another ring than the home's cluster.key")
    .option('--admin <url...>', admin)
    .addHelpText('after', examples('argyle keys list'))
    .action(async (options) => (await import('./commands/keys.ts')).list(options));
  keys
    .command('rotate')
    .description('add a key, let it seal when all nodes have it, remove the old one')
    .addOption(home())
    .option('--keys <file>', "another ring than the home's cluster.key")
    .option('--admin <url...>', admin)
    .addOption(
      new Option('--step <step>', 'only the next step, which must be this one').choices([
        'add',
        'promote',
        'remove',
      ]),
    )
    .option('--force', 'go on though some nodes do not answer')
    .addHelpText(
      'after',
      examples(
        'argyle keys rotate',
        'argyle keys rotate --step promote --admin http://192.0.2.7:12081',
      ),
    )
    .action(async (options) => (await import('./commands/keys.ts')).rotate(options));
}

function local(program: Command): void {
  program
    .command('up')
    .description('bring up a cluster and a client on this machine: init, start, wait until ready')
    .argument('[n]', 'how many nodes; by default those of the home, or 3')
    .addOption(home())
    .addOption(
      new Option('--port-base <port>', 'ports are counted from here').env('ARGYLE_PORT_BASE'),
    )
    .addOption(
      new Option('--client-port <port>', "the client's SOCKS5 port").env('ARGYLE_CLIENT_PORT'),
    )
    .addHelpText('after', examples('argyle up', 'ARGYLE_PORT_BASE=21080 argyle up 5'))
    .action(async (n, options) => (await import('./commands/up.ts')).up(n, options));
  program
    .command('down')
    .description('stop what `up` started: the client first, then the nodes')
    .addOption(home())
    .addHelpText('after', examples('argyle down'))
    .action(async (options) => (await import('./commands/down.ts')).down(options));
  program
    .command('kill')
    .description('kill a node as a crash would (SIGKILL); `up` brings it back')
    .argument('<i>', 'its number')
    .addOption(home())
    .addHelpText('after', examples('argyle kill 1'))
    .action(async (index, options) => (await import('./commands/kill.ts')).kill(index, options));
}

function home(): Option {
  return new Option('--home <folder>', 'the folder of the cluster')
    .env('ARGYLE_HOME')
    .default(HOME_DEFAULT);
}

function forwards(): Option {
  const what = 'a port here, udp or tcp, that leads to one target: udp:5300=dns.example:53';
  return new Option('--forward <protocol:[address:]port=host:port>', `${what}; may come again`)
    .default([], 'those of the configuration')
    .argParser((said: string, before: readonly Forward[]) => {
      const forward = parseForward(said);
      if (forward) return [...before, forward];
      throw new InvalidArgumentError(`Wanted ${FORWARD_WANTED}.`);
    });
}

function logLevel(): Option {
  return new Option('--log-level <level>', "in place of the configuration's").choices([
    'debug',
    'info',
    'warn',
    'error',
  ]);
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
