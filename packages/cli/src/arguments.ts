import { nearest } from './config/suggestion.ts';
import { CliError } from './exit-code.ts';

/**
 * A number of the command line. Throws a CliError that names it, what was found and what is
 * wanted.
 */
export function wholeNumber(what: string, found: string, least: number, most: number): number {
  const number = Number(found);
  if (/^\d{1,9}$/.test(found) && number >= least && number <= most) return number;
  const wanted = `a whole number from ${least} to ${most}`;
  throw new CliError('usage', `${what}: found "${found}", wanted ${wanted}`);
}

export function nearestHint(found: string, known: readonly string[]): string {
  const near = nearest(found, known);
  return near === undefined ? '' : `; did you mean ${near}?`;
}
