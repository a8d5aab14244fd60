// What both scripts share: steps are told as JSON lines, so that two databases' tellings can be compared.
// An error is told by what an application looks at. Usage of a script: node SCRIPT DSN; the last line is {"done": true}.

// Without the keys whose values are the process's own (numbers of sessions, sizes of pools).
function plain(value) {
  return JSON.parse(JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}n` : one)));
}

function told(error) {
  const { code, message, detail, hint, position, schema, table, column, constraint } = error;
  // Position is a number in one driver and text in another; both count the client's own characters.
  return plain({ code, message, detail, hint, position, schema, table, column, constraint });
}

async function step(name, does) {
  let line;
  try {
    line = { step: name, answer: plain(await does()) };
  } catch (error) {
    if (!error.code) throw error; // a mistake of the script's own
    line = { step: name, error: told(error) };
  }
  process.stdout.write(JSON.stringify(line) + "\n");
}

module.exports = { step };
