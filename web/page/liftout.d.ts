// what page.ts imports at run time is the built module beside it
export * from "../src/index.js";
