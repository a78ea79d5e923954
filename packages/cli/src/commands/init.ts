import { SystemHost } from '@argyle/host/system';
import { Home } from '../home.ts';
import { planHome, type PlanOptions } from '../local/plan.ts';
import { HomeMaker } from '../make-home.ts';

export interface InitOptions extends PlanOptions {
  readonly home: string;
  readonly containers?: true;
}

export async function init(options: InitOptions): Promise<void> {
  const home = new Home(options.home);
  const plan = options.containers ? { kind: 'containers' as const } : planHome(home, options);
  const files = await new HomeMaker(new SystemHost(), home).make(plan);
  for (const { path, made } of files) process.stdout.write(`${made.padEnd(7)}  ${path}\n`);
}
