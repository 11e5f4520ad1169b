/** The options as Python declares them; options.json is written by web/options.py from `liftout.options`. */
import json from "./options.json" with { type: "json" };

/** One option: its values are its choices, or of its type within its limits. */
export interface Declaration {
  /** In Python. */
  name: string;
  type: string;
  nullable: boolean;
  default: unknown;
  choices?: Record<string, unknown>;
  minimum?: number;
  maximum?: number;
}

export const declared = { ...json.result, ...json.run };
export const limits = json.limits;

type Declared = typeof declared;

/** The values that an option may have. */
export type Value<Name extends keyof Declared> = Declared[Name] extends { choices: infer Choices }
  ? keyof Choices
  : Declared[Name] extends { minimum: number }
    ? number | (Declared[Name]["default"] & null)
    : Declared[Name]["default"] extends boolean
      ? boolean
      : string | (Declared[Name]["default"] & null);
