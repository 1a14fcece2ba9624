/** A service that trusts source addresses: it stores each order with the address that it came from. */
import { createSocket } from "node:dgram";

/** At most this many orders are kept; the oldest are removed. */
const MOST_ORDERS = 100;

interface Order {
  readonly from: string;
  readonly text: string;
}

export class Bank {
  readonly #orders: Order[] = [];

  static open(address: string, port: number): Promise<Bank> {
    const bank = new Bank();
    const socket = createSocket("udp4");
    socket.on("message", (message, { address: from }) => {
      bank.#orders.push({ from, text: message.toString() });
      if (bank.#orders.length > MOST_ORDERS) bank.#orders.shift();
    });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, address, () => resolve(bank));
    });
  }

  /** The source address of an order; null when it was not received. */
  sourceOf(text: string): string | null {
    return this.#orders.find((order) => order.text === text)?.from ?? null;
  }
}
