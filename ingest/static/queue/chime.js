// Two notes, made by the browser itself. It must be switched on by a click: browsers want one.

const NOTES = [
  { hertz: 784, at_s: 0 },
  { hertz: 587, at_s: 0.35 },
];
const LENGTH_S = 1.4;
const LOUDNESS = 0.35;

export class Chime {
  get isOn() {
    return this.context?.state === "running";
  }

  async turn(isOn) {
    if (!isOn) return await this.context?.suspend();
    this.context ??= new AudioContext();
    await this.context.resume();
    this.ring();
  }

  ring() {
    if (!this.isOn) return;
    NOTES.forEach((note) => this.play(note));
  }

  play({ hertz, at_s }) {
    const begin = this.context.currentTime + at_s;
    const tone = new OscillatorNode(this.context, { frequency: hertz });
    const loudness = new GainNode(this.context, { gain: 0 });
    loudness.gain.setValueAtTime(0, begin);
    loudness.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.001, begin + LENGTH_S);
    tone.connect(loudness).connect(this.context.destination);
    tone.start(begin);
    tone.stop(begin + LENGTH_S);
  }
}
