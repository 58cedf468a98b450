import { describe, expect, it } from "vitest";
import { Api, Failure } from "./api";

function answering(status: number, body: unknown, headers: Record<string, string> = {}): { api: Api; asked: [string, RequestInit][] } {
  const asked: [string, RequestInit][] = [];
  const api = new Api(async (path, init) => {
    asked.push([path, init]);
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
  });
  return { api, asked };
}

async function failureOf(job: Promise<unknown>): Promise<Failure> {
  const error = await job.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Failure);
  return error as Failure;
}

describe("the API", () => {
  it("sends what it is given as JSON", async () => {
    const { api, asked } = answering(201, { message: { id: "m" } });
    expect(await api.say("c", "id-1", "hello", 7)).toEqual({ id: "m" });
    expect(asked[0]?.[0]).toBe("/desk/api/conversations/c/messages");
    expect(JSON.parse(String(asked[0]?.[1].body))).toEqual({ id: "id-1", text: "hello", after_seq: 7 });
  });

  it("leaves out what was not decided", async () => {
    const { api, asked } = answering(201, { message: {} });
    await api.say("c", "id-1", "hello", null);
    expect(JSON.parse(String(asked[0]?.[1].body))).toEqual({ id: "id-1", text: "hello" });
  });

  it("tells why it was refused", async () => {
    const { api } = answering(409, { error: { code: "already_accepted", message: "no", details: { by: "Bo" } } });
    const failure = await failureOf(api.accept("h"));
    expect([failure.code, failure.details.by, failure.temporary]).toEqual(["already_accepted", "Bo", false]);
  });

  it("knows what may pass by itself", async () => {
    const busy = await failureOf(answering(503, { error: { code: "unavailable", message: "" } }, { "Retry-After": "2" }).api.state());
    expect([busy.temporary, busy.retryAfter]).toEqual([true, 2]);
    const proxy = await failureOf(answering(502, "<h1>Bad gateway</h1>").api.state());
    expect([proxy.temporary, proxy.code]).toEqual([true, "unknown"]);
    const gone = await failureOf(new Api(() => Promise.reject(new TypeError("failed to fetch"))).state());
    expect([gone.temporary, gone.code]).toEqual([true, "offline"]);
  });
});
