// what the wrappers import at run time is the built module beside them
export * from "../src/index.js";
