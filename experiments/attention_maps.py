"""Does a network look at blank rows, and does clipping them move its attention?

One recipe is trained on the same split and seed without and with blank region clipping (BRC).
Grad-CAM++ maps of layer 4 are made of all test windows; four are drawn by themselves, as the
paper's Fig. 3, and the average of all, as its Fig. 5. The report adds the number that these only
suggest: the share of attention that lies on blank rows. The same command resumes.
"""

from respire.command.questions import attention_maps

if __name__ == "__main__":
    attention_maps(__doc__)
