/**
 * Remembers the last `max` results of a pure function of a text, oldest out first. What throws is not remembered. Results are
 * shared: do not change them.
 */
export function memo<T>(max: number, compute: (text: string) => T): (text: string) => T {
  const results = new Map<string, T>();
  return (text) => {
    const known = results.get(text);
    if (known !== undefined) return known;
    const result = compute(text);
    if (results.size >= max) results.delete(results.keys().next().value as string);
    results.set(text, result);
    return result;
  };
}
