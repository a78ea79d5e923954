const FIXED = [
  ['/healthz', '200 while the process serves'],
  ['/readyz', '200 when it may get work, 503 and the reason when not'],
  ['/metrics', 'Prometheus text format'],
] as const;

/** A list of what there is, for people. `views` are paths of the API, safe to write into HTML. */
export function indexPage(views: readonly string[]): string {
  const rows = [...FIXED, ...views.map((path) => [path, 'JSON; ?limit=N'] as const)];
  const items = rows.map(([path, says]) => `<li><a href="${path}">${path}</a> ${says}</li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Argyle</title>
<h1>Argyle</h1>
<ul>
${items.join('\n')}
</ul>
</html>
`;
}
