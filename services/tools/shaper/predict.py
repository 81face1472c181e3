"""Print which of a stream's packets a seed loses.

python3 -m services.tools.shaper.predict '{"loss": 0.1}' 7 'udp|client|tcp-server' 2000
"""

import json
import sys

from services.tools.shaper.decide import Effect, predict

if __name__ == "__main__":
    effect, seed, key, count = sys.argv[1:5]
    fates = predict(Effect.of(json.loads(effect)), int(seed), key, int(count))
    sys.stdout.write(json.dumps([number for number, fate in enumerate(fates) if not fate.copies]) + "\n")
