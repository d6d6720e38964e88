/** The low-level program of each compute component: it binds the parameters through the low-level API, and nothing else. */
import { parameters } from "./ast.ts";
import type { Component } from "./program.ts";

export function programPath(component: Component): string {
  return `components/${component.name}.py`;
}

export function componentProgram(component: Component): string {
  const { module, node, name } = component;
  const place = `${module.source.path}:${node.at[0]}`;
  return component.entry
    ? `# ${programPath(component)}: the entry, ${place}
from ${module.name} import main as application

def main(params, action):
    event = action.get_transport("event")
    return application(event.value())
`
    : `# ${programPath(component)}: compute component ${name}, ${place}
${imported(component)}

def main(params, action):
${body(component)}
`;
}

function imported({ module, node }: Component): string {
  // A function may be called `main`, as may one of its parameters be named like the function.
  const alias = hidden(node.name, node.args) ? " as _component" : "";
  return `from ${module.name} import ${node.name}${alias}`;
}

function hidden(name: string, args: Component["node"]["args"]): boolean {
  const names = parameters(args).map((arg) => arg.arg);
  return name === "main" || name === "params" || name === "action" || names.includes(name);
}

function body({ node }: Component): string {
  const { args } = node;
  const called = hidden(node.name, args) ? "_component" : node.name;
  // A parameter that is named like the two of the program itself would hide them.
  const names = new Map(
    parameters(args).map(({ arg }) => [arg, arg === "action" || arg === "params" ? `${arg}_` : arg]),
  );
  const local = (name: string): string => names.get(name) ?? name;
  const bound = [...args.posonlyargs, ...args.args, ...args.kwonlyargs];
  const lines = bound.map(({ arg }) => `    ${local(arg)} = action.get_transport(${JSON.stringify(arg)})`);
  const values = [...args.posonlyargs, ...args.args].map(({ arg }) => `${local(arg)}.value()`);
  if (args.vararg) values.push(`*action.params[${JSON.stringify(args.vararg.arg)}]`);
  values.push(...args.kwonlyargs.map(({ arg }) => `${arg}=${local(arg)}.value()`));
  if (args.kwarg) values.push(`**action.params[${JSON.stringify(args.kwarg.arg)}]`);
  return [...lines, `    return ${called}.body(${values.join(", ")})`].join("\n");
}
