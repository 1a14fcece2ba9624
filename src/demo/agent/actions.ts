/**
 * The actions of an agent. Each takes one argument and returns one result, both plain data. Servers, listeners and
 * senders that they start run until the process ends, at the latest.
 */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { type AwaitedLease, awaitLease } from "./await-lease.ts";
import { Bank } from "./bank.ts";
import { type Datagram, sendDatagram } from "./datagram.ts";
import { askForLease, type LeaseRequest } from "./dhcp-client.ts";
import { askForDns6, type Dhcpv6Plan, Dhcpv6Server, type DnsQuestion } from "./dhcpv6.ts";
import { type DnsPlan, type NameQuestion, resolveName, serveDns } from "./dns.ts";
import { Eavesdropper } from "./eavesdropper.ts";
import { askEcho, type EchoRequest, serveEcho } from "./echo.ts";
import { FrameSender, type SendPlan } from "./frame-sender.ts";
import { setKernel } from "./kernel.ts";
import { type Mailbox, readMail, serveMail } from "./mail.ts";
import { type InstallPlan, install } from "./package-install.ts";
import { type RegistryPlan, serveRegistry } from "./package-registry.ts";
import { ping } from "./ping.ts";
import { type DhcpServerPlan, PoolDhcpServer } from "./pool-dhcp-server.ts";
import { RogueDhcp, type RoguePlan } from "./rogue-dhcp.ts";
import { type StarvePlan, starve } from "./starve.ts";
import { askWeb, download, serveWeb, type WebPlan, type WebRequest } from "./web.ts";
import { exchange, type WebExchange } from "./web-exchange.ts";

export type Actions = ReturnType<typeof makeActions>;

export function makeActions(libc: LinuxLibc) {
  let dhcpServer: PoolDhcpServer | undefined;
  let bank: Bank | undefined;
  let rogue: RogueDhcp | undefined;
  let dhcpv6Server: Dhcpv6Server | undefined;
  let eavesdropper: Eavesdropper | undefined;
  let sender: FrameSender | undefined;

  return {
    setKernel,

    // Actions of an ordinary guest.
    askForLease: (request: LeaseRequest) => askForLease(libc, request),
    askForDns6: (question: DnsQuestion) => askForDns6(libc, question),
    ping: ({ address, timeout }: { address: number; timeout: number }) => ping(libc, address, timeout),
    resolveName: (question: NameQuestion) => resolveName(question),
    askWeb: (request: WebRequest) => askWeb(request),
    download: (request: WebRequest & { size: number }) => download(request),
    readMail: (mailbox: Mailbox) => readMail(mailbox),
    sendDatagram: (datagram: Datagram) => sendDatagram(datagram),
    install: (plan: InstallPlan) => install(plan),
    exchange: (asked: WebExchange) => exchange(asked),
    askEcho: (asked: EchoRequest) => askEcho(asked),

    // Services of the other machines.
    serveDhcp: (plan: DhcpServerPlan) => {
      dhcpServer = new PoolDhcpServer(libc, plan);
    },
    freeAddresses: () => dhcpServer?.free ?? 0,
    forgetLeases: () => dhcpServer?.forget(),
    serveDns: (plan: DnsPlan) => serveDns(plan),
    serveWeb: (plan: WebPlan) => serveWeb(plan),
    serveRegistry: (plan: RegistryPlan) => serveRegistry(plan),
    serveEcho: ({ address, port }: { address: string; port: number }) => serveEcho(address, port),
    serveMail: ({ address, port }: { address: string; port: number }) => serveMail(address, port),
    openBank: async ({ address, port }: { address: string; port: number }) => {
      bank = await Bank.open(address, port);
    },
    sourceOfOrder: (text: string) => bank?.sourceOf(text) ?? null,

    // Actions of an attacker.
    startSending: (plan: SendPlan) => {
      sender?.stop();
      sender = new FrameSender(libc, plan);
    },
    sentSoFar: () => sender?.sent ?? 0,
    stopSending: () => sender?.stop() ?? { frames: 0, seconds: 0 },
    startListening: ({ link, secret }: { link: string; secret: string }) => {
      eavesdropper?.close();
      eavesdropper = new Eavesdropper(libc, link, secret);
    },
    heardSoFar: () => eavesdropper?.heard ?? 0,
    startRogueDhcp: (plan: RoguePlan) => {
      rogue?.close();
      rogue = new RogueDhcp(libc, plan);
    },
    stopRogueDhcp: () => rogue?.close(),
    startDhcpv6: (plan: Dhcpv6Plan) => {
      dhcpv6Server?.close();
      dhcpv6Server = new Dhcpv6Server(libc, plan);
    },
    stopDhcpv6: () => dhcpv6Server?.close(),
    starve: (plan: StarvePlan) => starve(libc, plan),
    awaitLease: (awaited: AwaitedLease) => awaitLease(libc, awaited),
  };
}
