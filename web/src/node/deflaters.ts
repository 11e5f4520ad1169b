/** Deflates PNG files where there are no workers. */
import { deflate, type Deflated, type Strip } from "../images/deflate.js";

export class Deflaters {
  constructor(_base: string) {}

  async run(strip: Strip): Promise<Deflated> {
    return deflate(strip);
  }
}
