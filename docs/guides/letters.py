"""600 capital letters in 28x28 pixels, white on black: python letters.py FOLDER_OF_DEJAVU_FONTS writes letters.npy."""
import glob
import random
import sys

import numpy
from PIL import Image, ImageDraw, ImageFont

faces = sorted(glob.glob(f"{sys.argv[1]}/*.ttf"))
random.seed(0)
pictures = []
for i in range(600):
    font = ImageFont.truetype(random.choice(faces), random.randint(16, 24))
    picture = Image.new("L", (28, 28))
    centre = (14 + random.randint(-2, 2), 14 + random.randint(-2, 2))
    ImageDraw.Draw(picture).text(centre, chr(65 + i % 26), fill=255, font=font, anchor="mm")
    pictures.append(numpy.asarray(picture.rotate(random.uniform(-15, 15), Image.BILINEAR)))
numpy.save("letters.npy", numpy.stack(pictures))
